"""The local model server: TensorFlow Serving's REST and gRPC, KServe V2, and a page.

Two processes. The front (`front`, `listening`, `supervisor`) talks to the network: HTTP, gRPC
transport, limits, deadlines, the log; it loads neither TensorFlow nor numpy. The model process
(`worker`, `repository`, `loaded`, `batching`, and the protocols `rest`, `open_inference`,
`prediction_service`) holds the models. If a model takes its process down, the front lives, answers
503, and starts another.
"""
