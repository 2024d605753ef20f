"""The forms of the console for people who need one number, on data that answers them."""
