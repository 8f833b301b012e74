"""The market processor: from an exchange's frames to sequenced batches on a bus. Knows nothing of routers."""
