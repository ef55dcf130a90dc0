"""The kernel model: what memory-management calls do, written as steps, by the switches of a `Kernel`."""
