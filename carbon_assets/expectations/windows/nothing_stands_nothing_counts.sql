-- A window all of whose entries were taken back adds up to nothing.
select activity_type, window_start::text, kgco2e::text
from {batch}
where entries = 0 and (kgco2e <> 0 or quantity <> 0)
