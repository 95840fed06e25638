"""The metric families for Prometheus, made from counters and views at scrape time."""
