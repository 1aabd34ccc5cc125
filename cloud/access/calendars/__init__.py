"""Holiday calendars as data. china-2026.csv is the State Council General Office's notice on the holidays of 2026 (dated
4 November 2025). The notice does not say which weekday a make-up workday stands for: the files choose the working day
next to it, so a Saturday has Friday's hours and a Sunday has Monday's."""
