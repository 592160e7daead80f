-- An activity ends when it began or later, and within the longest period that is reported on.
select stream, entry_id::text, occurred_from::text, occurred_to::text
from {batch}
where occurred_to < occurred_from or occurred_to > occurred_from + interval '400 days'
