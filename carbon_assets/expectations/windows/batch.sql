select * from windows.five_minute where local_date = $unit
