insert into factors.release_factor (release_id, factor_id, version) values (%s, %s, %s)
