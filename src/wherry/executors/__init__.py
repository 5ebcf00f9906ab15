"""Where an attempt becomes a process: one small Protocol, one module an implementation, one literal dict."""
