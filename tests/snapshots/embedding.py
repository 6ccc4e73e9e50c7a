"""Made by jitgrad from embedding (corpus.py:embedding): 4 instructions in 10 statements."""


def add_up(total, term):
    return total + term


def embedding_gradient(E, index, target, grad_E):
    """Return the value; write grad_E."""
    # corpus.py:embedding+1
    total = 0.0
    for i in range(6):
        for j in range(3):
            grad_E[i, j] = 0.0
    for i in range(5):
        index_i = index[i]
        t1 = E[index_i, 0] - target[i, 0]
        t2 = E[index_i, 1] - target[i, 1]
        t3 = E[index_i, 2] - target[i, 2]
        total = add_up(total, t1 * t1 + t2 * t2 + t3 * t3)
        grad_E[index_i, 0] += 2.0 * t1
        grad_E[index_i, 1] += 2.0 * t2
        grad_E[index_i, 2] += 2.0 * t3
    return total
