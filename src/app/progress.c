#include "app/progress.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_US 100000
#define BAR_CELLS 30

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void progress_begin(struct progress *p, const char *label, uint64_t total, bool quiet)
{
    int64_t now = monotonic_us();
    *p = (struct progress){.label = label,
        .on = !quiet && isatty(STDERR_FILENO),
        .started_us = now,
        .drawn_us = now,
        .total = total};
}

static void draw(const struct progress *p, uint64_t done, int64_t now)
{
    double seconds = (double)(now - p->started_us) / 1e6;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    if (p->total == 0) {
        fprintf(stderr, "\r%s %llu (%.0f/s)\033[K", p->label, (unsigned long long)done, rate);
        return;
    }
    double part = done >= p->total ? 1 : (double)done / (double)p->total;
    int cells = (int)(part * BAR_CELLS);
    char bar[BAR_CELLS + 1];
    for (int i = 0; i < BAR_CELLS; i++)
        bar[i] = i < cells ? '#' : '.';
    bar[BAR_CELLS] = '\0';
    double left = rate > 0 && done < p->total ? (double)(p->total - done) / rate : 0;
    fprintf(stderr, "\r%s [%s] %3.0f%% %llu/%llu (%.0f/s, %.0f s left)\033[K", p->label, bar, part * 100,
        (unsigned long long)done, (unsigned long long)p->total, rate, left);
}

void progress_at(struct progress *p, uint64_t done)
{
    if (!p->on)
        return;
    int64_t now = monotonic_us();
    if (now - p->drawn_us < REDRAW_US)
        return;
    p->drawn_us = now;
    draw(p, done, now);
}

void progress_end(struct progress *p)
{
    if (p->on && p->drawn_us != p->started_us)
        fputs("\r\033[K", stderr);
    p->on = false;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void progress_mind_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool progress_step(void *progress, uint64_t done, uint64_t total)
{
    struct progress *p = progress;
    p->total = total;
    progress_at(p, done);
    return !interrupted;
}
