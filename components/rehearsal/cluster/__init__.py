"""One embedded cluster: its processes, files, keys, images and addresses."""
