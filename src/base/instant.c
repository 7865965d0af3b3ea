#include "base/instant.h"

#include <stdio.h>

/* Days since 1970-01-01 of a proleptic Gregorian date, and back (H. Hinnant, "chrono-compatible date algorithms"). */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *ret_y, int *ret_m, int *ret_d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_part = (5 * day_of_year + 2) / 153;
    *ret_d = (int)(day_of_year - (153 * month_part + 2) / 5 + 1);
    *ret_m = (int)(month_part < 10 ? month_part + 3 : month_part - 9);
    *ret_y = (int)(year_of_era + era * 400 + (*ret_m <= 2));
}

static char *put_digits(char *p, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        p[i] = (char)('0' + value % 10);
    return p + width;
}

void instant_format(int64_t instant, char ret_text[INSTANT_TEXT_LEN + 1])
{
    INVARIANT_F(instant >= INSTANT_MIN && instant <= INSTANT_MAX, "instant %lld", (long long)instant);
    int64_t days = instant / MICROS_PER_DAY, rest = instant % MICROS_PER_DAY;
    if (rest < 0)
        days--, rest += MICROS_PER_DAY;
    int y, m, d;
    civil_from_days(days, &y, &m, &d);
    int64_t seconds = rest / MICROS_PER_SECOND;
    char *p = put_digits(ret_text, y, 4);
    *p++ = '-';
    p = put_digits(p, m, 2);
    *p++ = '-';
    p = put_digits(p, d, 2);
    *p++ = 'T';
    p = put_digits(p, seconds / 3600, 2);
    *p++ = ':';
    p = put_digits(p, seconds / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, seconds % 60, 2);
    *p++ = '.';
    p = put_digits(p, rest % MICROS_PER_SECOND, 6);
    *p++ = 'Z';
    *p = '\0';
}

void strbuf_instant(struct strbuf *b, int64_t instant)
{
    char text[INSTANT_TEXT_LEN + 1];
    instant_format(instant, text);
    strbuf_add(b, text, INSTANT_TEXT_LEN);
}

/* Takes exactly `width` digits off the front. */
static bool take_digits(struct str *s, size_t width, int64_t *ret_value)
{
    if (s->len < width)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < width; i++) {
        if (s->data[i] < '0' || s->data[i] > '9')
            return false;
        value = value * 10 + (s->data[i] - '0');
    }
    s->data += width;
    s->len -= width;
    *ret_value = value;
    return true;
}

static bool take_char(struct str *s, char c)
{
    if (s->len == 0 || s->data[0] != c)
        return false;
    s->data++;
    s->len--;
    return true;
}

static bool take_date(struct str *s, int64_t *ret_days)
{
    static const int days_in[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t y, m, d;
    if (!take_digits(s, 4, &y) || !take_char(s, '-') || !take_digits(s, 2, &m) || !take_char(s, '-') ||
        !take_digits(s, 2, &d))
        return false;
    if (y < 1 || m < 1 || m > 12 || d < 1)
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d > days_in[m - 1] + (m == 2 && leap))
        return false;
    *ret_days = days_from_civil(y, m, d);
    return true;
}

static bool take_time(struct str *s, int64_t *ret_micros)
{
    int64_t h, m, sec, fraction = 0;
    if (!take_digits(s, 2, &h) || !take_char(s, ':') || !take_digits(s, 2, &m) || !take_char(s, ':') ||
        !take_digits(s, 2, &sec) || h > 23 || m > 59 || sec > 59)
        return false;
    if (take_char(s, '.')) {
        int digits = 0;
        int64_t digit;
        for (; digits < 9 && take_digits(s, 1, &digit); digits++)
            if (digits < 6)
                fraction = fraction * 10 + digit;
        if (digits == 0)
            return false;
        for (; digits < 6; digits++)
            fraction *= 10;
    }
    *ret_micros = ((h * 60 + m) * 60 + sec) * MICROS_PER_SECOND + fraction;
    return true;
}

static bool take_offset(struct str *s, int64_t *ret_micros)
{
    *ret_micros = 0;
    if (take_char(s, 'Z') || take_char(s, 'z'))
        return true;
    bool minus = s->len > 0 && s->data[0] == '-';
    int64_t h, m;
    if (!(take_char(s, '+') || take_char(s, '-')) || !take_digits(s, 2, &h) || !take_char(s, ':') ||
        !take_digits(s, 2, &m) || h > 23 || m > 59)
        return false;
    *ret_micros = (h * 60 + m) * 60 * MICROS_PER_SECOND * (minus ? -1 : 1);
    return true;
}

static bool parse(struct str s, bool loose, int64_t *ret_instant)
{
    int64_t days, time = 0, offset = 0;
    if (!take_date(&s, &days))
        return false;
    if (!(loose && s.len == 0)) {
        if (!(take_char(&s, 'T') || take_char(&s, 't') || take_char(&s, ' ')) || !take_time(&s, &time))
            return false;
        if (!(loose && s.len == 0) && !take_offset(&s, &offset))
            return false;
    }
    int64_t instant = days * MICROS_PER_DAY + time - offset;
    if (s.len != 0 || instant < INSTANT_MIN || instant > INSTANT_MAX)
        return false;
    *ret_instant = instant;
    return true;
}

bool instant_parse(struct str text, int64_t *ret_instant)
{
    return parse(text, false, ret_instant);
}

bool instant_parse_loose(struct str text, int64_t *ret_instant)
{
    return parse(text, true, ret_instant);
}
