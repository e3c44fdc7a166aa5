"""Stereoscope's treating side: fine-tuning on CrowS-Pairs under accelerate, one adapter a fold."""
