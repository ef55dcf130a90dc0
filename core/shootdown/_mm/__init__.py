"""The kernel model: memory-management calls written as steps, as the switches of a `Kernel` choose."""
