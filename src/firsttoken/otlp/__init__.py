"""OpenTelemetry's protocol: received, read from files and sent, as frozen values at the seams."""
