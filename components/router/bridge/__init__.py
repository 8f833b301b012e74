"""``/bridge``: a backend service publishes and calls by signed HTTP requests, through Crossbar's own bridge."""
