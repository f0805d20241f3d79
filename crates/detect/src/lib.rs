//! Rules over batches: Sigma, correlations, detections and why they fired.
