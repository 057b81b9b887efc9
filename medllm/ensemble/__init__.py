"""Two readers, one answer: boundary policy, reconciling, disputes, calibration."""
