"""One evaluation over several GPUs: a process beside the server for each GPU but the first."""
