"""What operators see: logs, metrics, traces, reports of errors, outages."""
