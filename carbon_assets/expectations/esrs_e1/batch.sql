select * from reports.esrs_e1 where snapshot_id = $unit
