-- Deletes old results of asset checks, which stay when their run is deleted; of each check and partition the newest
-- result stays.
delete from asset_check_executions
where id in (
    select o.id
    from asset_check_executions o
    where coalesce(o.evaluation_event_timestamp, o.create_timestamp)
          < case when o.execution_status = 'FAILED' then %(before_failed)s else %(before)s end
      and exists (
          select from asset_check_executions n
          where n.asset_key = o.asset_key and n.check_name = o.check_name
            and n.partition is not distinct from o.partition and n.id > o.id
            -- What was planned and came to nothing is no result, and makes none superfluous.
            and (o.execution_status = 'PLANNED' or n.execution_status <> 'PLANNED')
      )
    order by o.id
    limit %(most)s
)
