"""What only a GPU can show; every test here skips without one."""
