"""Batches of EverTalk jobs on ComfyUI servers, on one machine or on a Ray cluster.

From the bottom up: errors, json_file, file_lock; workflow, jobs, task (what is to be done); batch_store,
results, attempts (what is on the shared disk); comfy_client, outputs, server, worker (one server and the
jobs it does); worker_pool, job_queue, driver (who does what next); address, ray_worker_pool (all that knows
Ray); batch, cli. Nothing of the node pack is imported: the servers are asked over HTTP. comfy_client and
mix_down are links to files of demo/ and multitalk/, which an installation copies.
"""
