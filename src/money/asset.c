#include "money/asset.h"

/*
 * ISO 4217, table A.1 (current currencies and funds), as published on 2026-01-01: the codes by their minor
 * unit. The thirteen whose minor unit is "N.A." are left out: XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA
 * XXX.
 */
static const struct {
    int scale;
    const char *codes; /* three letters each, a blank between them */
} iso4217[] = {
    {2, "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
        "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
        "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK "
        "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO "
        "NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
        "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST "
        "XAD XCD XCG YER ZAR ZMW ZWG"},
    {0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"},
    {3, "BHD IQD JOD KWD LYD OMR TND"},
    {4, "CLF UYW"},
};

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

bool asset_code_valid(struct str code)
{
    if (code.len < 1 || code.len > LIMIT_ASSET_CODE_MAX || !is_upper(code.data[0]))
        return false;
    for (size_t i = 1; i < code.len; i++) {
        char c = code.data[i];
        if (!is_upper(c) && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

bool asset_iso4217_scale(struct str code, int *ret_scale)
{
    if (code.len != 3)
        return false;
    for (size_t i = 0; i < sizeof iso4217 / sizeof iso4217[0]; i++) {
        struct str codes = str_of(iso4217[i].codes), one;
        while (str_split(&codes, ' ', &one))
            if (str_eq(one, code)) {
                *ret_scale = iso4217[i].scale;
                return true;
            }
    }
    return false;
}
