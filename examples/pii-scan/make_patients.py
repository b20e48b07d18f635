#!/usr/bin/python3
"""Make up patient records with a known number of planted SSNs, mail addresses and phone numbers.

    make_patients.py [--rows 10000] [--seed 7] [--output patients.csv] [--counts planted.json]

The same rows and seed give the same bytes everywhere. Nobody is real: mail domains are those
reserved for examples, phone numbers end in the 555-01xx range reserved for fiction. Between the
planted items stand near-misses (an SSN of area 000, a mail address without a domain, a number one
digit too long, dates, drug codes) that a careful scan must not count. What is planted is counted
here as it is planted, without any pattern.
"""
import argparse
import csv
import json
import random
import sys

FIRST = """Ada Amir Ana Andrés Anh Bea Boris Carla Chen Chloé Dan Dana Diego Ebba Emeka Eva Farid
Fatima Finn Greta Hana Hugo Ida Igor Ines Ivan Jack Jana José Kai Kenji Lara Leïla Liam Lin Lucía
Luka Maja Marta Mei Milan Mina Nadia Noah Nora Olga Omar Oscar Paul Petra Priya Quinn Rafael Rosa
Ruth Sami Sara Sofía Tariq Tess Theo Uma Vera Victor Wei Xenia Yara Yusuf Zoë""".split()
LAST = """Abbott Adeyemi Almeida Bauer Becker Bianchi Castro Chang Costa Dubois Eriksson Fischer
Fontaine García Gruber Haddad Hansen Huang Ibrahim Ito Jensen Kaya Keller Khan Kim Kovač Kumar
Larsen Lefèvre Lopez Meyer Moreau Müller Nakamura Nguyen Novák Okafor Olsen Park Patel Pereira
Petrov Quist Ramos Rossi Russo Sato Schmidt Silva Singh Suzuki Tanaka Torres Tran Ueda Vargas Vogel
Wagner Weber Wong Yamada Yılmaz Zhang Zimmer O'Brien""".split()
STREETS = "Oak Elm Maple Cedar Pine Lake Hill Park River Sunset Mill Church".split()
CITIES = [("Albany", "NY", "122"), ("Austin", "TX", "787"), ("Boise", "ID", "837"),
          ("Denver", "CO", "802"), ("Eugene", "OR", "974"), ("Fresno", "CA", "937"),
          ("Macon", "GA", "312"), ("Omaha", "NE", "681"), ("Tulsa", "OK", "741")]
AREAS = "205 212 303 312 404 415 503 512 602 617 702 713 801 918".split()
WARDS = "cardiology oncology surgery maternity neurology orthopedics emergency pediatrics".split()
CODES = "E11.9 I10 J45.909 M54.5 K21.9 F41.1 N39.0 S72.001A Z38.00 C50.911".split()
DRUGS = "0002-8215-01 0093-7146-56 00378-0018-01 50580-0449-05 0069-2587-68".split()
DOMAINS = ["example.com", "example.net", "mail.example.org", "clinic.example.com", "example.edu"]
FAMOUS = ("078-05-1120", "219-09-9999")  # printed in advertisements, never valid
COLUMNS = """record_id last_name first_name birth_date sex street city state zip phone email ssn
member_id admitted ward diagnosis drug_ndc blood_pressure cost_usd note""".split()

PLAIN = ["Stable overnight, no complaints.", "Follow-up in 2 weeks; diet and exercise discussed.",
         "Patient reports \"sharp\" pain, left knee.", "Lab results within range, 14.2/7.6.",
         "Family informed, discharge planned.", "Refused medication at 08:30, accepted at 11:15."]
AROUND = {
    "ssn": ["Insurance form lists SSN {}.", "Social security no. {}, copy on file.",
            "ID check: {} (confirmed by spouse)"],
    "email": ["Send results to {}.", "Contact: {}; prefers mail.", "Wrote to <{}> twice."],
    "phone": ["Call {} after 6 pm.", "Emergency contact {}, daughter.", "Phone {}, left voicemail."],
}


class Maker:
    """Random values from one stream; only random() is used, whose values never change."""

    def __init__(self, seed):
        self.random = random.Random(seed).random
        self.planted = {"email": 0, "phone": 0, "ssn": 0}
        self.near_misses = 0

    def number(self, low, high):
        return low + int(self.random() * (high - low + 1))

    def pick(self, items):
        return items[int(self.random() * len(items))]

    def chance(self, share):
        return self.random() < share

    def date(self, first, last):
        return f"{self.number(first, last)}-{self.number(1, 12):02}-{self.number(1, 28):02}"

    def ssn(self):
        area = self.number(1, 898)
        area += area >= 666
        made = f"{area:03}-{self.number(1, 99):02}-{self.number(1, 9999):04}"
        return self.ssn() if made in FAMOUS else made

    def email(self):
        first, last = self.pick("abcdefghij"), self.pick("klmnopqrst")
        name = self.pick([f"{first}.{last}{self.number(1, 99)}", f"{first}{last}_{self.number(1, 9)}",
                          f"{first}+clinic{self.number(1, 9)}", f"{last}-{self.number(10, 99)}"])
        return f"{name}@{self.pick(DOMAINS)}"

    def phone(self):
        area, line = self.pick(AREAS), f"01{self.number(0, 99):02}"
        return self.pick([f"({area}) 555-{line}", f"{area}-555-{line}", f"{area}.555.{line}",
                          f"+1 {area} 555 {line}", f"+1-{area}-555-{line}", f"1-{area}-555-{line}"])

    def plant(self, kind):
        self.planted[kind] += 1
        return getattr(self, kind)()

    def near_miss(self):
        """Looks like one, is none."""
        self.near_misses += 1
        a, b, c = self.number(100, 665), self.number(10, 99), self.number(1000, 9999)
        area = self.pick(AREAS)
        return self.pick([
            f"claim 000-{b}-{c}", f"claim 666-{b}-{c}", f"file 9{b}-{b}-{c}", f"batch {a}-00-{c}",
            f"batch {a}-{b}-0000", f"lot {a}-{b}-{c}{b}", f"lot 7{a}-{b}-{c}",
            f"case {a}-{b}-{c}-{b}", f"policy PX{a}-{b}-{c}", "sample SSN 078-05-1120",
            "pager nurse@ward", f"login user{b}@localhost", f"bounced: x..y{b}@example.com",
            f"typo j{b}@example.c", f"handle @clinic{b}", f"host root@10.0.{b}.1",
            f"mail k{b} (at) example.org", f"broken q{b}@@example.org", f"u{b}@-bad.example",
            f"device (123) 555-01{b}", f"device 211-555-01{b}", f"device {area}-155-01{b}",
            f"device {area}-411-01{b}", f"device {area}-555-01{b}7", f"device 0{area}-555-01{b}",
            f"serial {area}555{c}", f"address 192.168.{b}.{b}", f"visit 20{b}-03-15",
            f"room {b}-{c}", f"part {area}-555-01{b}-9",
        ])

    def note(self):
        parts = [self.pick(PLAIN)]
        for kind in ("ssn", "email", "phone"):
            if self.chance(0.06):
                parts.append(self.pick(AROUND[kind]).format(self.plant(kind)))
        if self.chance(0.25):
            parts.append(f"See {self.near_miss()}.")
        return " ".join(parts)

    def row(self, index):
        city, state, zip_start = self.pick(CITIES)
        member = f"M{self.number(100, 999)}-{self.number(10, 99)}-{self.number(1000, 9999)}"
        return [f"MRN-{index:07}", self.pick(LAST), self.pick(FIRST), self.date(1931, 2019),
                self.pick("FMX"), f"{self.number(1, 9999)} {self.pick(STREETS)} St", city, state,
                f"{zip_start}{self.number(10, 99)}-{self.number(1000, 9999)}",
                self.plant("phone") if self.chance(0.7) else "",
                self.plant("email") if self.chance(0.5) else "",
                self.plant("ssn") if self.chance(0.4) else "",
                member, self.date(2021, 2025), self.pick(WARDS), self.pick(CODES), self.pick(DRUGS),
                f"{self.number(95, 180)}/{self.number(55, 110)}",
                f"{self.number(50, 99999)}.{self.number(0, 99):02}", self.note()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", default="patients.csv", help="default: patients.csv")
    parser.add_argument("--counts", help="also write the planted counts to this file")
    options = parser.parse_args()
    maker = Maker(options.seed)
    with open(options.output, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for index in range(1, options.rows + 1):
            writer.writerow(maker.row(index))
    facts = {"near_misses": maker.near_misses, "planted": maker.planted, "rows": options.rows,
             "seed": options.seed}
    text = json.dumps(facts, sort_keys=True)
    if options.counts:
        with open(options.counts, "w", encoding="ascii") as file:
            file.write(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
