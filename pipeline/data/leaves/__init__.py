"""Dead leaves, the synthetic training images: shapes that cover a canvas, their colours, the images kept on disk."""
