select exists (
    select from ledger.letter_decision c
    where c.kind = 'replay' and c.decided_at < clock_timestamp() - make_interval(secs => %(seconds)s)
      and not exists (select from ledger.letter_sending s where s.decision_id = c.decision_id)
      and not exists (
          select from ledger.dead_letter d
          where left(jsonb_path_query_first(d.record_headers, 'strict $[*] ? (@[0] == "carbon.decision") [1]', '{}', true) #>> '{}', 72)
              = encode(convert_to(c.decision_id::text, 'UTF8'), 'hex')))
