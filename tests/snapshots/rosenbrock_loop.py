"""Made by jitgrad from rosenbrock_loop (corpus.py:rosenbrock_loop): 40 instructions in 10 statements."""


def add_up(total, term):
    return total + term


def rosenbrock_loop_gradient(x, grad_x):
    """Return the value; write grad_x."""
    # corpus.py:rosenbrock_loop+3
    total = 0.0
    grad_x[0] = 0.0
    grad_x_carried = grad_x[0]
    for i in range(5):
        x_i = x[i]
        t1 = x[i + 1] - x_i * x_i
        t2 = 1.0 - x_i
        total = add_up(total, t2 * t2 + 100.0 * (t1 * t1))
        grad_x[i] = grad_x_carried + (-2.0 * t2 - 200.0 * t1 * (2.0 * x_i))
        grad_x_carried = 200.0 * t1
    grad_x[5] = grad_x_carried
    return total
