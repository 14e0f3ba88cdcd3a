#include <stdio.h>

#include "../src/primes.h"

static const struct {
    unsigned long n;
    bool prime;
} cases[] = {{0, false}, {1, false}, {2, true}, {3, true}, {4, false}, {25, false}, {97, true}, {7919, true}};

int main(void) {
    int failures = 0;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (is_prime(cases[i].n) != cases[i].prime) {
            fprintf(stderr, "is_prime(%lu) should be %d\n", cases[i].n, cases[i].prime);
            failures++;
        }
    }
    printf("%d failures\n", failures);
    return failures != 0;
}
