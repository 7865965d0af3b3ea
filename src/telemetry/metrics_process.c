#include "telemetry/metrics_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static ssize_t read_file(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t used = 0;
    for (ssize_t n; used < size - 1 && (n = read(fd, ret_text + used, size - 1 - used)) > 0;)
        used += (size_t)n;
    close(fd);
    ret_text[used] = '\0';
    return (ssize_t)used;
}

/* The time the machine was started, in seconds since the epoch; 0 if unknown. */
static unsigned long long boot_time(void)
{
    char text[65536];
    if (read_file("/proc/stat", text, sizeof text) < 0)
        return 0;
    const char *at = strstr(text, "\nbtime ");
    return at ? strtoull(at + 7, NULL, 10) : 0;
}

static void put(struct strbuf *b, const char *name, const char *type, const char *help)
{
    strbuf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s ", name, help, name, type, name);
}

/* proc(5): utime, stime, num_threads, starttime, vsize, rss are fields 14, 15, 20, 22, 23, 24. */
static void put_stat(struct strbuf *b)
{
    char text[1024];
    if (read_file("/proc/self/stat", text, sizeof text) < 0)
        return;
    const char *p = strrchr(text, ')'); /* the name may hold blanks and brackets */
    unsigned long long utime, stime, threads, start, vsize, rss;
    if (p == NULL ||
        sscanf(p + 1,
            " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %llu %*d %llu %llu %llu",
            &utime, &stime, &threads, &start, &vsize, &rss) != 6)
        return;
    long ticks = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    if (ticks <= 0 || page <= 0)
        return;
    put(b, "process_cpu_seconds_total", "counter", "CPU time spent, user and system");
    strbuf_printf(b, "%.2f\n", (double)(utime + stime) / (double)ticks);
    put(b, "process_resident_memory_bytes", "gauge", "Resident memory");
    strbuf_printf(b, "%llu\n", rss * (unsigned long long)page);
    put(b, "process_virtual_memory_bytes", "gauge", "Virtual memory");
    strbuf_printf(b, "%llu\n", vsize);
    put(b, "process_threads", "gauge", "Threads");
    strbuf_printf(b, "%llu\n", threads);
    unsigned long long boot = boot_time();
    if (boot > 0) {
        put(b, "process_start_time_seconds", "gauge", "Start of the process, since the epoch");
        strbuf_printf(b, "%.2f\n", (double)boot + (double)start / (double)ticks);
    }
}

static void put_descriptors(struct strbuf *b)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir != NULL) {
        long n = -1; /* the directory's own */
        for (const struct dirent *e; (e = readdir(dir)) != NULL;)
            n += e->d_name[0] != '.';
        closedir(dir);
        put(b, "process_open_fds", "gauge", "Open descriptors");
        strbuf_printf(b, "%ld\n", n);
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        put(b, "process_max_fds", "gauge", "Most descriptors the process may open");
        strbuf_printf(b, "%llu\n", (unsigned long long)limit.rlim_cur);
    }
}

void metrics_process_render(struct strbuf *b)
{
    put_stat(b);
    put_descriptors(b);
    strbuf_printf(b,
        "# HELP creditledger_build_info The version running\n# TYPE creditledger_build_info gauge\n"
        "creditledger_build_info{version=\"%s\"} 1\n",
        CREDITLEDGER_VERSION);
}
