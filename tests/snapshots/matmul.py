"""Made by jitgrad from matmul (corpus.py:matmul): 60 instructions in 14 statements."""


def add_up(total, term):
    return total + term


def matmul_gradient(A, B, grad_A, grad_B):
    """Return the value; write grad_A, grad_B."""
    # corpus.py:matmul+7
    total = 0.0
    for i in range(4):
        for j in range(2):
            grad_B[i, j] = 0.0
    grad_B_0_1 = grad_B[0, 1]
    grad_B_1_1 = grad_B[1, 1]
    grad_B_2_1 = grad_B[2, 1]
    grad_B_3_1 = grad_B[3, 1]
    grad_B_0_0 = grad_B[0, 0]
    grad_B_1_0 = grad_B[1, 0]
    grad_B_2_0 = grad_B[2, 0]
    grad_B_3_0 = grad_B[3, 0]
    B_0_0 = B[0, 0]
    B_1_0 = B[1, 0]
    B_2_0 = B[2, 0]
    B_3_0 = B[3, 0]
    B_0_1 = B[0, 1]
    B_1_1 = B[1, 1]
    B_2_1 = B[2, 1]
    B_3_1 = B[3, 1]
    # corpus.py:matmul+6
    for i in range(3):
        A_i_0 = A[i, 0]
        A_i_1 = A[i, 1]
        A_i_2 = A[i, 2]
        A_i_3 = A[i, 3]
        c = A_i_0 * B_0_0 + A_i_1 * B_1_0 + A_i_2 * B_2_0 + A_i_3 * B_3_0
        c2 = A_i_0 * B_0_1 + A_i_1 * B_1_1 + A_i_2 * B_2_1 + A_i_3 * B_3_1
        # corpus.py:matmul+7
        total = add_up(total, c * c + c2 * c2)
        for j in range(4):
            grad_A[i, j] = 0.0
        t1 = 2.0 * c2
        # corpus.py:matmul+6
        grad_B_0_1 = add_up(grad_B_0_1, t1 * A_i_0)
        grad_B_1_1 = add_up(grad_B_1_1, t1 * A_i_1)
        grad_B_2_1 = add_up(grad_B_2_1, t1 * A_i_2)
        grad_B_3_1 = add_up(grad_B_3_1, t1 * A_i_3)
        # corpus.py:matmul+7
        t2 = 2.0 * c
        # corpus.py:matmul+6
        grad_A[i, 0] += t1 * B_0_1 + t2 * B_0_0
        grad_B_0_0 = add_up(grad_B_0_0, t2 * A_i_0)
        grad_A[i, 1] += t1 * B_1_1 + t2 * B_1_0
        grad_B_1_0 = add_up(grad_B_1_0, t2 * A_i_1)
        grad_A[i, 2] += t1 * B_2_1 + t2 * B_2_0
        grad_B_2_0 = add_up(grad_B_2_0, t2 * A_i_2)
        grad_A[i, 3] += t1 * B_3_1 + t2 * B_3_0
        grad_B_3_0 = add_up(grad_B_3_0, t2 * A_i_3)
    grad_B[0, 1] = grad_B_0_1
    grad_B[1, 1] = grad_B_1_1
    grad_B[2, 1] = grad_B_2_1
    grad_B[3, 1] = grad_B_3_1
    grad_B[0, 0] = grad_B_0_0
    grad_B[1, 0] = grad_B_1_0
    grad_B[2, 0] = grad_B_2_0
    grad_B[3, 0] = grad_B_3_0
    return total
