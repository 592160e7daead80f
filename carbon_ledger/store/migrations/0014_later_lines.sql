-- A new revision takes back every line of the one before it. The first is found by the event's identity; the
-- others need an index, which holds nothing of the many events that have one line.
create index entry_later_lines on ledger.entry (event_id) where line_no > 1;
comment on index ledger.entry_later_lines is 'lines of an event after its first, by event';
