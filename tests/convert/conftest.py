"""The server with WanVideoWrapper's file names, for all tests of the converter."""

from convert_server import object_info, stocked_server

__all__ = ["object_info", "stocked_server"]
