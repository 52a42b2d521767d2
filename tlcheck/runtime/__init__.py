"""Executing networks as they are deployed. Ring 2: nothing here makes a verdict."""
