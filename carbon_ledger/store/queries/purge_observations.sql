delete from event_logs
where id in (
    select o.id
    from event_logs o
    where o.run_id = '' and o.dagster_event_type = 'ASSET_OBSERVATION' and o.timestamp < %(before)s
      and exists (
          select from event_logs n
          where n.asset_key = o.asset_key and n.dagster_event_type = 'ASSET_OBSERVATION' and n.id > o.id
      )
    order by o.id
    limit %(most)s
)
