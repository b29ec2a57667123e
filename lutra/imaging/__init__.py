"""Images: MATLAB-compatible resizing, colour, PSNR, SSIM, files, comparison sheets. NumPy and Pillow only."""
