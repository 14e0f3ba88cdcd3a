#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "primes.h"

/* Prints the primes up to the number given. */
int main(int argc, char **argv) {
    char *end = NULL;
    errno = 0;
    unsigned long limit = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
    if (argc != 2 || end == argv[1] || *end != '\0' || errno != 0) {
        fprintf(stderr, "usage: primes LIMIT\n");
        return 2;
    }
    for (unsigned long n = 2; n <= limit; n++) {
        if (is_prime(n)) printf("%lu\n", n);
    }
    return 0;
}
