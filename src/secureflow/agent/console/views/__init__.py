"""The pages by what they show; each module names its `PAGES`."""
