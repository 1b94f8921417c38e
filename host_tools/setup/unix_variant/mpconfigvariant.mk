# Nothing beyond the standard variant.
