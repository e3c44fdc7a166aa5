"""From result files to report.json, leaderboards and plots; never loads a model."""
