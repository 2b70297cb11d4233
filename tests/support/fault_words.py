"""What people are told of a GPU or a memory that fails, as patterns: one owner for tests and benches."""

KEPT = r"The windows that were finished are kept: queue the workflow again and the run goes on"
NO_GPU_MEMORY = r"(GPU: its|model: the GPU's) memory does not suffice for .*Choose a smaller size"
NO_RAM = r"memory: the computer's RAM does not suffice for .*Close other programs"
FAILED = r"GPU: it failed during .*Restart ComfyUI"
