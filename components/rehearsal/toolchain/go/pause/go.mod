module traffic-mirror.stage/pause

go 1.26
