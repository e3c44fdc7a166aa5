"""Stereoscope's treating side: fine-tuning on CrowS-Pairs or text under accelerate, one adapter a fold."""
