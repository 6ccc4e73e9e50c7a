"""Made by jitgrad from chebyshev (corpus.py:chebyshev): 27 instructions in 23 statements."""


def chebyshev_gradient(c, x, grad_c, grad_x):
    """Return the value; write grad_c, grad_x."""
    # corpus.py:chebyshev+2
    c_1 = c[1]
    total = c[0] + c_1 * x
    # corpus.py:chebyshev+4
    t1 = 2.0 * x
    now = t1 * x - 1.0
    # corpus.py:chebyshev+5
    c_2 = c[2]
    total2 = total + c_2 * now
    # corpus.py:chebyshev+4
    now2 = t1 * now - x
    # corpus.py:chebyshev+5
    c_3 = c[3]
    total3 = total2 + c_3 * now2
    # corpus.py:chebyshev+4
    now3 = t1 * now2 - now
    # corpus.py:chebyshev+5
    c_4 = c[4]
    total4 = total3 + c_4 * now3
    # corpus.py:chebyshev+4
    now4 = t1 * now3 - now2
    # corpus.py:chebyshev+5
    c_5 = c[5]
    total5 = total4 + c_5 * now4
    # corpus.py:chebyshev+4
    now5 = t1 * now4 - now3
    # corpus.py:chebyshev+5
    c_6 = c[6]
    total6 = total5 + c_6 * now5
    for i in range(7):
        grad_c[i] = 0.0
    grad_c[6] += now5
    grad_c[5] += now4
    now_bar = c_5 + c_6 * t1
    grad_c[4] += now3
    now_bar2 = c_4 - c_6 + now_bar * t1
    grad_c[3] += now2
    now_bar3 = c_3 - now_bar + now_bar2 * t1
    grad_c[2] += now
    now_bar4 = c_2 - now_bar2 + now_bar3 * t1
    # corpus.py:chebyshev+4
    t2 = now_bar2 * now2 + now_bar * now3 + c_6 * now4 + now_bar3 * now
    # corpus.py:chebyshev+2
    grad_c[0] += 1.0
    grad_c[1] += x
    grad_x[()] = c_1 - now_bar3 + now_bar4 * t1 + (t2 + now_bar4 * x) * 2.0
    return total6
