"""The questions that can be asked: simulate, compare, explain, explore, targets, walk an image, warm."""
