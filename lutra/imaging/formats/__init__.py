"""What Pillow keeps or checks too little of in PNG, JPEG and TIFF files."""
