"""Made by jitgrad from dot_product (corpus.py:dot_product): 14 instructions in 4 statements."""


def add_up(total, term):
    return total + term


def dot_product_gradient(x, y, grad_x, grad_y):
    """Return the value; write grad_x, grad_y."""
    # corpus.py:dot_product+3
    total = 0.0
    for i in range(7):
        x_i = x[i]
        y_i = y[i]
        total = add_up(total, x_i * y_i)
        grad_x[i] = y_i
        grad_y[i] = x_i
    return total
