"""The networks as torch.nn.Modules: no files, no downloads, no devices."""
