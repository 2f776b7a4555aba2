"""A record's numbers for Prometheus and Grafana."""
