"""Check ISO code tables against each other and print what was found as JSON.

The tables are those of Debian's package iso-codes: one file per standard, an object whose only
member is the list of entries. jq counts the entries a second time. Exit status 1 when a check
fails, 2 when a table is missing.
"""
import json
import os
import pathlib
import subprocess
import sys

DATA = pathlib.Path(os.environ.get("CUPEL_DATA", "/data"))
WANTED = ("3166-1", "3166-2", "4217", "639-2", "639-3")


def read_table(name):
    content = json.loads((DATA / f"iso_{name}.json").read_text(encoding="utf-8"))
    return content[name]


def count_by_jq(name):
    answer = subprocess.run(["jq", ".[] | length", str(DATA / f"iso_{name}.json")], check=True,
                            capture_output=True, text=True).stdout
    return int(answer)


def check_all(tables):
    countries = {entry["alpha_2"] for entry in tables["3166-1"]}
    regions = tables["3166-2"]
    codes = {entry["code"] for entry in regions}
    languages = {entry["alpha_3"] for entry in tables["639-3"]}
    return {
        "country_codes_are_unique": len(countries) == len(tables["3166-1"]),
        "currency_codes_have_three_letters": all(len(e["alpha_3"]) == 3 for e in tables["4217"]),
        "every_region_has_a_country": all(e["code"].split("-")[0] in countries for e in regions),
        "region_codes_are_unique": len(codes) == len(regions),
        "two_letter_languages_are_in_639_3": all(
            e["alpha_3"] in languages for e in tables["639-2"]
            if "alpha_2" in e and e["alpha_2"] != "bh"),  # Bihari is a group, not a language
    }


def main():
    missing = [name for name in WANTED if not (DATA / f"iso_{name}.json").is_file()]
    if missing:
        print(f"missing tables: {', '.join(missing)}", file=sys.stderr)
        return 2
    tables = {name: read_table(name) for name in WANTED}
    entries = {name: len(table) for name, table in tables.items()}
    checks = check_all(tables)
    checks["jq_counts_the_same"] = all(count_by_jq(name) == entries[name] for name in WANTED)
    regions_of = {}
    for entry in tables["3166-2"]:
        country = entry["code"].split("-")[0]
        regions_of[country] = regions_of.get(country, 0) + 1
    most = sorted(regions_of.items(), key=lambda item: (-item[1], item[0]))[:5]
    json.dump({"checks": checks, "entries": entries,
               "most_regions": [{"country": c, "regions": n} for c, n in most]},
              sys.stdout, sort_keys=True, indent=1)
    print()
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
